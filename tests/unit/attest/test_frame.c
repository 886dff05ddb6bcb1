/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "frame.h"

struct pair {
    int a, b;
};

static int open_pair(void **state)
{
    static struct pair p;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    p = (struct pair){fds[0], fds[1]};
    (void)fcntl(p.b, F_SETFL, O_NONBLOCK);
    *state = &p;
    return 0;
}

static int close_pair(void **state)
{
    const struct pair *p = *state;

    close(p->a);
    close(p->b);
    return 0;
}

static int count_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void frame_arrives_as_it_was_sent(void **state)
{
    const struct pair *p = *state;
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 77), *got = NULL;
    ql_auto_free char *text = NULL;
    uint64_t v = 0;

    assert_int_equal(ql_frame_add_u64(f, QL_TAG_JOB_TYPE, QL_JOB_ATTEST, NULL), QL_OK);
    assert_int_equal(ql_frame_add_text(f, QL_TAG_VALIDATOR, "one", NULL), QL_OK);
    assert_int_equal(ql_frame_add(f, QL_TAG_POLICY, "", 0, NULL), QL_OK);
    assert_int_equal(ql_frame_add_text(f, QL_TAG_VALIDATOR, "two", NULL), QL_OK);
    assert_int_equal(ql_frame_send(p->a, f, NULL), QL_OK);
    assert_int_equal(ql_frame_recv(p->b, &got, NULL), QL_OK);
    assert_int_equal(got->kind, QL_FRAME_JOB);
    assert_int_equal(got->job, 77);
    assert_int_equal(got->count, 4);
    assert_int_equal(ql_frame_get_u64(got, QL_TAG_JOB_TYPE, &v), QL_OK);
    assert_int_equal(v, QL_JOB_ATTEST);
    assert_int_equal(ql_frame_get(got, QL_TAG_POLICY, 0)->len, 0);
    assert_non_null(ql_frame_get(got, QL_TAG_POLICY, 0)->data);
    text = ql_frame_get_text(got, QL_TAG_VALIDATOR, 1);
    assert_string_equal(text, "two");
    assert_null(ql_frame_get(got, QL_TAG_VALIDATOR, 2));
    assert_int_equal(ql_frame_get_u64(got, QL_TAG_MASK, &v), QL_ENOTFOUND);
    assert_int_equal(ql_frame_get_u64(got, QL_TAG_VALIDATOR, &v), QL_EPARSE);
}

static void large_items_travel_beside_the_frame(void **state)
{
    const struct pair *p = *state;
    static uint8_t big[QL_FRAME_INLINE_MAX + 1];
    int before = count_fds();

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 7);
    {
        ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 1), *got = NULL;
        const struct ql_item *item;

        assert_int_equal(ql_frame_add(f, QL_TAG_ANSWER, big, sizeof big, NULL), QL_OK);
        assert_int_equal(ql_frame_add_text(f, QL_TAG_NONCE, "n", NULL), QL_OK);
        assert_int_equal(ql_frame_send(p->a, f, NULL), QL_OK);
        assert_int_equal(ql_frame_recv(p->b, &got, NULL), QL_OK);
        item = ql_frame_get(got, QL_TAG_ANSWER, 0);
        assert_true(f->items[0].fd >= 0);
        assert_int_equal(item->fd, -1); /* mapped: the descriptor is needed no more */
        assert_int_equal(item->len, sizeof big);
        assert_memory_equal(item->data, big, sizeof big);
        assert_memory_equal(ql_frame_get(f, QL_TAG_ANSWER, 0)->data, big, sizeof big);
        assert_int_equal(ql_frame_get(got, QL_TAG_NONCE, 0)->len, 1);
        /* Received, it is not passed on: its bytes would not fit inline. */
        assert_int_equal(ql_frame_send(p->a, got, NULL), QL_ELIMIT);
    }
    assert_int_equal(count_fds(), before);
}

static void items_fill_the_frame_to_the_byte_and_then_leave_it(void **state)
{
    const struct pair *p = *state;
    static uint8_t half[QL_FRAME_INLINE_MAX / 2];
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 1), *got = NULL;

    assert_int_equal(ql_frame_add(f, QL_TAG_ANSWER, half, sizeof half, NULL), QL_OK);
    assert_int_equal(ql_frame_add(f, QL_TAG_BODY, half, sizeof half, NULL), QL_OK);
    assert_int_equal(ql_frame_add(f, QL_TAG_STATE, half, 1, NULL), QL_OK);
    assert_int_equal(f->items[1].fd, -1);
    assert_true(f->items[2].fd >= 0);
    assert_int_equal(ql_frame_send(p->a, f, NULL), QL_OK);
    assert_int_equal(ql_frame_recv(p->b, &got, NULL), QL_OK);
    assert_int_equal(got->count, 3);
}

static void descriptor_of_the_caller_is_kept_as_a_copy(void **state)
{
    const struct pair *p = *state;
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_POLICY, 1), *got = NULL;
    int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(write(fd, "policy", 6), 6);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    assert_int_equal(ql_frame_add_fd(f, QL_TAG_POLICY, fd, 6, NULL), QL_OK);
    close(fd);
    assert_int_equal(ql_frame_send(p->a, f, NULL), QL_OK);
    assert_int_equal(ql_frame_recv(p->b, &got, NULL), QL_OK);
    assert_memory_equal(ql_frame_get(got, QL_TAG_POLICY, 0)->data, "policy", 6);
}

static void descriptor_that_others_may_change_is_refused(void **state)
{
    const struct pair *p = *state;
    static const int seals[] = {0, F_SEAL_WRITE, F_SEAL_SHRINK | F_SEAL_GROW};
    int before = count_fds();

    for (size_t i = 0; i < QL_ARRAY_LEN(seals); i++) {
        ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_POLICY, 1), *got = NULL;
        struct ql_err err = QL_ERR_INIT;
        int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_int_equal(write(fd, "policy", 6), 6);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
        assert_int_equal(ql_frame_add_fd(f, QL_TAG_POLICY, fd, 6, NULL), QL_OK);
        close(fd);
        assert_int_equal(ql_frame_send(p->a, f, NULL), QL_OK);
        assert_int_equal(ql_frame_recv(p->b, &got, &err), QL_EPARSE);
        assert_string_equal(err.text, "frame item is not a sealed memfd");
        assert_null(got);
    }
    assert_int_equal(count_fds(), before);
}

static void descriptor_of_another_length_or_kind_is_refused(void **state)
{
    const struct pair *p = *state;
    int before = count_fds();

    for (int kind = 0; kind < 2; kind++) {
        ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_POLICY, 1), *got = NULL;
        int fd = kind == 0 ? memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING) : open("/dev/zero", O_RDONLY);

        if (kind == 0) {
            assert_int_equal(write(fd, "policy", 6), 6);
            assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
        }
        assert_int_equal(ql_frame_add_fd(f, QL_TAG_POLICY, fd, 4096, NULL), QL_OK);
        close(fd);
        assert_int_equal(ql_frame_send(p->a, f, NULL), QL_OK);
        assert_int_equal(ql_frame_recv(p->b, &got, NULL), QL_EPARSE);
        assert_null(got);
    }
    assert_int_equal(count_fds(), before);
}

static void encoder_knows_no_other_tags(void **state)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 1);
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_frame_add(f, (enum ql_tag)500, "x", 1, &err), QL_EINTERNAL);
    assert_string_equal(err.text, "frame tag 500 does not exist");
    /* and the frame with the hole is never sent */
    assert_int_equal(ql_frame_add_text(f, QL_TAG_NONCE, "n", NULL), QL_EINTERNAL);
    assert_int_equal(ql_frame_send(-1, f, NULL), QL_EINTERNAL);
}

static void frame_has_at_most_128_items(void **state)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 1);

    (void)state;
    for (int i = 0; i < QL_FRAME_ITEMS_MAX; i++)
        assert_int_equal(ql_frame_add_text(f, QL_TAG_NONCE, "n", NULL), QL_OK);
    assert_int_equal(ql_frame_add_text(f, QL_TAG_NONCE, "n", NULL), QL_ELIMIT);
}

static void empty_socket_and_gone_peer_are_told_apart(void **state)
{
    struct pair *p = *state;
    ql_auto(ql_frame_freep) struct ql_frame *got = NULL;

    assert_int_equal(ql_frame_recv(p->b, &got, NULL), QL_EAGAIN);
    close(p->a);
    p->a = -1;
    assert_int_equal(ql_frame_recv(p->b, &got, NULL), QL_ECLOSED);
}

static size_t wire_of(const struct pair *p, uint8_t *wire, size_t room)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_RESULT, 9);
    ssize_t n;

    assert_int_equal(ql_frame_add_u64(f, QL_TAG_VERDICT, 1, NULL), QL_OK);
    assert_int_equal(ql_frame_add_text(f, QL_TAG_NAME, "name", NULL), QL_OK);
    assert_int_equal(ql_frame_send(p->a, f, NULL), QL_OK);
    n = recv(p->b, wire, room, 0);
    assert_true(n > 0);
    return (size_t)n;
}

static void frame_refuses_every_truncation_and_one_byte_more(void **state)
{
    uint8_t wire[256];
    size_t len = wire_of(*state, wire, sizeof wire);
    ql_auto(ql_frame_freep) struct ql_frame *whole = NULL;

    assert_int_equal(ql_frame_parse(wire, len, NULL, 0, &whole, NULL), QL_OK);
    for (size_t cut = 0; cut <= len + 1; cut++) {
        struct ql_frame *got = NULL;

        if (cut == len)
            continue;
        wire[len] = 0;
        assert_int_equal(ql_frame_parse(wire, cut, NULL, 0, &got, NULL), QL_EPARSE);
        assert_null(got);
    }
}

static void frame_refuses_what_it_does_not_know(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        const char *text;
    } changes[] = {
        {0, 2, "frame of version 2, wanted 1"},
        {1, 0, "frame of kind 0"},
        {1, 7, "frame of kind 7"},
        {7, 1, "frame of kind 3"},
        {2, 1, "frame of 258 items, at most 128"},
        {5, 1, "frame announces 1 descriptors and brings 0"},
        {16, 9, "frame item 0 has tag 2368, which does not exist"},
        {18, 2, "frame item 0 has form 2"},
        {18, 1, "frame item 0 has no descriptor"},
        {19, 1, "frame item 0 has form 0"},
        {20, 0x7f, "more than 65536 bytes of items in a frame"},
    };
    uint8_t wire[256];
    size_t len = wire_of(*state, wire, sizeof wire);

    for (size_t i = 0; i < QL_ARRAY_LEN(changes); i++) {
        struct ql_frame *got = NULL;
        struct ql_err err = QL_ERR_INIT;
        uint8_t kept = wire[changes[i].at];

        wire[changes[i].at] = changes[i].value;
        assert_int_equal(ql_frame_parse(wire, len, NULL, 0, &got, &err), QL_EPARSE);
        assert_string_equal(err.text, changes[i].text);
        wire[changes[i].at] = kept;
    }
}

static void text_with_nul_is_no_text(void **state)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 1);

    (void)state;
    assert_int_equal(ql_frame_add(f, QL_TAG_NONCE, "a\0b", 3, NULL), QL_OK);
    assert_null(ql_frame_get_text(f, QL_TAG_NONCE, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frame_arrives_as_it_was_sent, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(large_items_travel_beside_the_frame, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(items_fill_the_frame_to_the_byte_and_then_leave_it, open_pair,
                                        close_pair),
        cmocka_unit_test_setup_teardown(descriptor_of_the_caller_is_kept_as_a_copy, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(descriptor_that_others_may_change_is_refused, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(descriptor_of_another_length_or_kind_is_refused, open_pair,
                                        close_pair),
        cmocka_unit_test(encoder_knows_no_other_tags),
        cmocka_unit_test(frame_has_at_most_128_items),
        cmocka_unit_test_setup_teardown(empty_socket_and_gone_peer_are_told_apart, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(frame_refuses_every_truncation_and_one_byte_more, open_pair,
                                        close_pair),
        cmocka_unit_test_setup_teardown(frame_refuses_what_it_does_not_know, open_pair, close_pair),
        cmocka_unit_test(text_with_nul_is_no_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
