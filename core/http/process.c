/* SPDX-License-Identifier: Apache-2.0 */
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>

#include "log.h"
#include "tlswatch.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* What libevent warns of (a connection refused, for one) is reported by the call it happens to, with more words. */
static void on_log(int severity, const char *text)
{
    ql_log(severity >= EVENT_LOG_ERR ? QL_ERROR : QL_DEBUG, "http", "libevent: %s", text);
}

static void prepare(void)
{
    struct sigaction now;

    event_set_log_callback(on_log);
    if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

void ql_http_prepare_process(void)
{
    pthread_once(&once, prepare);
}
