/* SPDX-License-Identifier: Apache-2.0 */
#include "emulator.h"

int main(int argc, char **argv)
{
    return ql_emulator_main(argc, argv);
}
