-- SPDX-License-Identifier: Apache-2.0
-- One text of a gigabyte.
local function misbehave()
  return ("x"):rep(1000, ("y"):rep(8000))
end

return {
  kind = "validator",
  name = "memory-string",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
