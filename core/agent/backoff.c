/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "digest.h"
#include "parse.h"

bool ql_backoff_status(int status)
{
    return status == 408 || status == 429 || (status >= 500 && status <= 599);
}

int64_t ql_retry_after_ms(const char *text, int64_t now_s)
{
    static const char *const months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t seconds = 0;
    struct tm tm = {0};
    const char *month;
    int64_t at;

    /* Seconds may exceed any number: what has only digits is a delay. */
    if (*text != '\0' && text[strspn(text, "0123456789")] == '\0') {
        if (ql_parse_u64(text, strlen(text), 0, QL_RETRY_AFTER_MAX_S, &seconds, NULL) < 0)
            seconds = QL_RETRY_AFTER_MAX_S;
        return (int64_t)seconds * 1000;
    }
    /* "Sun, 06 Nov 1994 08:49:37 GMT": the one form of RFC 9110 that senders may make; strptime depends on the locale. */
    if (strlen(text) != 29 || strcmp(text + 25, " GMT") != 0 || memcmp(text + 3, ", ", 2) != 0)
        return -1;
    for (size_t i = 0; i < 29; i++) {
        const char c = "aaa, 00 aaa 0000 00:00:00 GMT"[i];

        if (c == '0' ? text[i] < '0' || text[i] > '9' : c != 'a' && text[i] != c)
            return -1;
    }
    char name[4] = {text[8], text[9], text[10], '\0'};
    month = strstr(months, name);
    if (!month || (month - months) % 3 != 0)
        return -1;
    tm.tm_mday = (text[5] - '0') * 10 + text[6] - '0';
    tm.tm_mon = (int)(month - months) / 3;
    tm.tm_year =
        (text[12] - '0') * 1000 + (text[13] - '0') * 100 + (text[14] - '0') * 10 + text[15] - '0' - 1900;
    tm.tm_hour = (text[17] - '0') * 10 + text[18] - '0';
    tm.tm_min = (text[20] - '0') * 10 + text[21] - '0';
    tm.tm_sec = (text[23] - '0') * 10 + text[24] - '0';
    at = timegm(&tm);
    if (at <= now_s)
        return 0;
    return at - now_s > QL_RETRY_AFTER_MAX_S ? QL_RETRY_AFTER_MAX_S * INT64_C(1000) : (at - now_s) * 1000;
}

int64_t ql_backoff_next(struct ql_backoff *b, const char *retry_after)
{
    uint64_t delay = b->initial_ms, jitter = 0;
    int64_t asked = retry_after ? ql_retry_after_ms(retry_after, ql_now_ns() / QL_NS_PER_S) : -1;

    if (b->tries >= b->max_tries)
        return -1;
    for (unsigned i = 0; i < b->tries && delay < b->max_ms; i++)
        delay *= 2;
    b->tries++;
    if (asked >= 0)
        return asked;
    if (delay > b->max_ms)
        delay = b->max_ms;
    /* Half of it is drawn by lot, so that a fleet does not come back in one instant. */
    ql_random(&jitter, sizeof jitter);
    return (int64_t)(delay - delay / 2 + jitter % (delay / 2 + 1));
}
