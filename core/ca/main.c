/* SPDX-License-Identifier: Apache-2.0 */
#include "tool.h"

int main(int argc, char **argv)
{
    return ql_ca_main(argc, argv);
}
