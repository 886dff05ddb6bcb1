/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

int main(void)
{
    return ql_worker_main();
}
