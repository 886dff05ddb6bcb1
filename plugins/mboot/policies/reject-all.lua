-- SPDX-License-Identifier: Apache-2.0
return {
  kind = "mb-policy",
  name = "reject-all",
  summary = "nothing",
  prepare = function()
    return mb.reject("reject all")
  end,
}
