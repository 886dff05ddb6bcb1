-- SPDX-License-Identifier: Apache-2.0
-- Wants a clock: there is none, so it is refused when it is loaded.
local started = os.time()

return {
  kind = "validator",
  name = "clock",
  prepare = function()
    return { started }
  end,
  needs = function()
    return {}
  end,
  validate = function() end,
}
