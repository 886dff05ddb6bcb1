/* SPDX-License-Identifier: Apache-2.0 */
#include "payloadd.h"

int main(int argc, char **argv)
{
    return ql_payloadd_main(argc, argv);
}
