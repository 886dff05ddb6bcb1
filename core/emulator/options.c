/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of quicklime-ima-emulator; flags as Keylime's. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emulator.h"
#include "program.h"

#define KERNEL_LIST "/sys/kernel/security/ima/ascii_runtime_measurements"

static const char usage[] = "Usage: quicklime-ima-emulator [OPTION]...\n"
                            "Extends PCR 10 of the software TPM named by the variable TCTI from a "
                            "measurement list, until it is ended.\n"
                            "\n"
                            "  -a, --hash_algs ALG       PCR bank to extend: sha1 (default), sha256, sha384, "
                            "sha512; may be given several times\n"
                            "  -i, --ima-hash-alg ALG    hash of the list's second column (default sha1)\n"
                            "  -f, --ima-log FILE        measurement list (default " KERNEL_LIST ")\n"
                            "      --once                end when everything in the list is extended\n"
                            "      --version, --help\n"
                            "\n"
                            "Exit status: 0 ended by a signal or --once, 1 a failure, 2 wrong usage.\n";

struct options {
    struct ql_emulator_config config;
    const char *banks[QL_PCR_BANKS];
    bool once;
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static int fail_usage(const char *why)
{
    fprintf(stderr, "quicklime-ima-emulator: %s (see --help)\n", why);
    return 2;
}

/* @return -1: go on; else the exit code */
static int read_options(int argc, char **argv, struct options *o)
{
    enum {
        ONCE = 256,
        VERSION,
        HELP
    };
    static const struct option options[] = {{"hash_algs", required_argument, NULL, 'a'},
                                            {"ima-hash-alg", required_argument, NULL, 'i'},
                                            {"ima-log", required_argument, NULL, 'f'},
                                            {"once", no_argument, NULL, ONCE},
                                            {"version", no_argument, NULL, VERSION},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    int c;

    *o = (struct options){.config = {.list = KERNEL_LIST, .ima_hash = "sha1"}};
    while ((c = getopt_long(argc, argv, "a:i:f:h", options, NULL)) != -1)
        switch (c) {
        case 'a':
            if (o->config.bank_count == QL_PCR_BANKS)
                return fail_usage("-a is given more than four times");
            o->banks[o->config.bank_count++] = optarg;
            break;
        case 'i':
            o->config.ima_hash = optarg;
            break;
        case 'f':
            o->config.list = optarg;
            break;
        case ONCE:
            o->once = true;
            break;
        case VERSION:
            printf("quicklime-ima-emulator %s\n", ql_version());
            return 0;
        case HELP:
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return 2;
        }
    if (optind < argc)
        return fail_usage("there are no arguments but options");
    if (o->config.bank_count == 0)
        o->banks[o->config.bank_count++] = "sha1";
    o->config.banks = o->banks;
    return -1;
}

/* The list is a file of the kernel's, which nothing reports changes of. */
static int follow(struct ql_emulator *e, struct ql_err *err)
{
    const struct timespec wait = {.tv_nsec = QL_EMULATOR_WAIT_MS * 1000000L};

    while (!ended) {
        int r = ql_emulator_step(e, err);

        if (r < 0)
            return r;
        (void)nanosleep(&wait, NULL); /* a signal ends it early, as it should */
    }
    return QL_OK;
}

int ql_emulator_main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = on_signal};
    ql_auto(ql_tpm_closep) struct ql_tpm *tpm = NULL;
    ql_auto(ql_emulator_freep) struct ql_emulator *e = NULL;
    struct ql_err err = QL_ERR_INIT;
    struct options o;
    const char *tcti = getenv("TCTI");
    int r = read_options(argc, argv, &o);

    if (r >= 0)
        return r;
    if (!tcti || !*tcti)
        return fail_usage("the variable TCTI does not name a TPM");
    (void)sigaction(SIGINT, &action, NULL); /* these two signals exist */
    (void)sigaction(SIGTERM, &action, NULL);
    r = ql_tpm_open(tcti, &tpm, &err);
    if (r == QL_OK)
        r = ql_emulator_new(tpm, &o.config, &e, &err);
    if (r == QL_OK)
        r = o.once ? ql_emulator_step(e, &err) : follow(e, &err);
    if (r < 0)
        fprintf(stderr, "quicklime-ima-emulator: %s\n", err.text);
    return r < 0 ? 1 : 0;
}
