/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of policy scripts that take bytes apart: mb.tag, mb.utf16, mb.x509. */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "lua_mb.h"
#include "text.h"

enum {
    HEX_MAX = 1024 * 1024,  /* digits of one argument */
    X509_COST = 100 * 1000, /* instructions of one certificate */
    NAME_MAX_LEN = 4096,    /* bytes of a subject's text */
    TAG_HEADER_LEN = 8
};

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Bytes of hex at @p index, as a Lua string pushed on the stack. */
static const uint8_t *unhex(lua_State *L, struct mb_lua_run *run, int index, size_t *ret_len)
{
    size_t len;
    const char *hex = luaL_checklstring(L, index, &len);
    uint8_t *out;

    luaL_argcheck(L, len % 2 == 0 && len <= HEX_MAX, index, "not an even number of hex digits");
    run->host->lua_charge(L, len / 4);
    out = lua_newuserdatauv(L, len / 2 + 1, 0);
    for (size_t i = 0; i < len / 2; i++) {
        const int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

        luaL_argcheck(L, high >= 0 && low >= 0, index, "not hex");
        out[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    *ret_len = len / 2;
    return out;
}

static struct mb_lua_run *run_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* mb.tag(event) → id, data in hex; nothing for an event that is no whole EV_EVENT_TAG. */
static int help_tag(lua_State *L)
{
    size_t len = 0, data_len;
    const uint8_t *bytes;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "EventType");
    lua_getfield(L, 1, "Event");
    if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "EV_EVENT_TAG") != 0 ||
        lua_type(L, 3) != LUA_TSTRING)
        return 0;
    bytes = unhex(L, run_of(L), 3, &len);
    if (len < TAG_HEADER_LEN)
        return 0;
    data_len = (size_t)bytes[4] | (size_t)bytes[5] << 8 | (size_t)bytes[6] << 16 | (size_t)bytes[7] << 24;
    if (data_len > len - TAG_HEADER_LEN)
        return 0;
    lua_pushinteger(L, (lua_Integer)bytes[0] | (lua_Integer)bytes[1] << 8 | (lua_Integer)bytes[2] << 16 |
                           (lua_Integer)bytes[3] << 24);
    lua_pushlstring(L, lua_tostring(L, 3) + 2 * TAG_HEADER_LEN, 2 * data_len);
    return 2;
}

/* mb.utf16(hex) → text up to the first NUL. */
static int help_utf16(lua_State *L)
{
    struct mb_text t;
    luaL_Buffer b;
    size_t len = 0, text_len;
    const uint8_t *bytes = unhex(L, run_of(L), 1, &len);
    /* Room first: nothing may be owned while Lua allocates. At most three bytes a unit. */
    char *out = luaL_buffinitsize(L, &b, len * 2 + 4);

    mb_text_init(&t);
    (void)mb_text_utf16(&t, bytes, len / 2); /* how many units there were does not matter */
    text_len = t.failed || t.len > len * 2 + 4 ? 0 : t.len;
    memcpy(out, t.p, text_len);
    mb_text_done(&t);
    luaL_pushresultsize(&b, text_len);
    return 1;
}

static size_t name_text(const X509_NAME *name, char out[NAME_MAX_LEN])
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len = 0;

    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
        len = BIO_read(bio, out, NAME_MAX_LEN);
    BIO_free(bio);
    return len > 0 ? (size_t)len : 0;
}

/* mb.x509(hex) → {subject, issuer, sha256}, nothing for what is no certificate. */
static int help_x509(lua_State *L)
{
    char subject[NAME_MAX_LEN], issuer[NAME_MAX_LEN], hex[65];
    size_t len = 0, subject_len, issuer_len;
    const uint8_t *bytes = unhex(L, run_of(L), 1, &len), *at = bytes;
    uint8_t digest[32];
    X509 *cert;

    run_of(L)->host->lua_charge(L, X509_COST);
    cert = d2i_X509(NULL, &at, (long)len);
    if (!cert || at != bytes + len) {
        X509_free(cert);
        return 0;
    }
    subject_len = name_text(X509_get_subject_name(cert), subject);
    issuer_len = name_text(X509_get_issuer_name(cert), issuer);
    X509_free(cert);
    if (!EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL))
        return 0;
    for (size_t i = 0; i < sizeof digest; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, subject, subject_len);
    lua_setfield(L, -2, "subject");
    lua_pushlstring(L, issuer, issuer_len);
    lua_setfield(L, -2, "issuer");
    lua_pushlstring(L, hex, 64);
    lua_setfield(L, -2, "sha256");
    return 1;
}

void mb_lua_add_helpers(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"tag", help_tag}, {"utf16", help_utf16}, {"x509", help_x509}, {NULL, NULL}};

    lua_pushvalue(L, 2); /* of mb_lua_setup(): the run */
    luaL_setfuncs(L, functions, 1);
}
