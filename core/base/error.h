/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file error.h
 * Filling a struct ql_err (its layout is part of the SDK). Libraries never log: they fail with a text, and the program
 * that decides what the failure means logs it once.
 */
#pragma once
#include <quicklime/error.h>

/**
 * Describe a failure and return its code, so that one can `return ql_fail(err, QL_EPARSE, "PCR %u sent twice", n)`.
 * @param err  filled when not NULL: code and text (cut at its size; control characters become '?')
 */
int ql_fail(struct ql_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Put "context: " before the text of a failure that is being passed on; returns err's code, or @p code if NULL. */
int ql_fail_context(struct ql_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Shorthand for `ql_fail(err, QL_ENOMEM, "out of memory")`. */
int ql_fail_nomem(struct ql_err *err);

/** @return the code's short name, such as "EPARSE"; "E?" for an unknown one. Static. */
const char *ql_err_name(int code);

#ifdef __clang_analyzer__
/* The analyser sees one file at a time: tell it that these return what was passed. */
#define ql_fail(err, code, ...)         ((void)(ql_fail)(err, code, __VA_ARGS__), (code))
#define ql_fail_context(err, code, ...) ((void)(ql_fail_context)(err, code, __VA_ARGS__), (code))
#define ql_fail_nomem(err)              ((void)(ql_fail_nomem)(err), QL_ENOMEM)
#endif
