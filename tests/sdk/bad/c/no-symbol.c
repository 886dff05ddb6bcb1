/* SPDX-License-Identifier: Apache-2.0 */
/* A library, not a plugin. */
extern int something_else;
__attribute__((visibility("default"))) int something_else = 1;
