-- SPDX-License-Identifier: Apache-2.0
-- Nothing, many times.
local function misbehave()
  return (""):rep(math.maxinteger)
end

return {
  kind = "validator",
  name = "rep-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
