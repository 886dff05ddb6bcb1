/* SPDX-License-Identifier: Apache-2.0 */
/* The symbol is there, but holds three bytes. */
extern const char ql_plugin[3];
__attribute__((visibility("default"))) const char ql_plugin[3] = "no";
