/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "keyring.h"

/* One key for all inputs. */
static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                          "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOAJBHt1zyBP3F6/PZWsxx66XSfOw\n"
                          "wDagCGuSGuyJMi247L3qUQEInxDgSL6KPAaOmMuddYiZxQxElbmKdHxBGQ==\n"
                          "-----END PUBLIC KEY-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is a signature field; the digest is its beginning. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"md5", "sha1", "sha256", "sha384", "sha512", "sha224"};
    static const size_t lens[] = {16, 20, 32, 48, 64, 28};
    static struct ima_key *key;
    struct ima_signature s;

    if (!key && ima_key_read((const uint8_t *)pem, sizeof pem - 1, false, &key) != IMA_KEY_OK)
        return 0;
    for (unsigned i = 0; i < 6 && ima_signature_read(data, size, &s); i++)
        if (size >= lens[i])
            (void)ima_signature_check(&s, key, names[i], strlen(names[i]), data, lens[i]);
    return 0;
}
