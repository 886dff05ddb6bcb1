# SPDX-License-Identifier: Apache-2.0
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE made RESULT_VARIABLE status)
file(READ ${PAGE} written)
if(NOT status EQUAL 0 OR NOT made STREQUAL written)
    message(FATAL_ERROR "${PAGE} is not what the route tables say: run scripts/docs")
endif()
