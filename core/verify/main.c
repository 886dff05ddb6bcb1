/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

int main(int argc, char **argv)
{
    return ql_verify_main(argc, argv);
}
