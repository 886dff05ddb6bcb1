-- SPDX-License-Identifier: Apache-2.0
-- The same as an iterator.
local function misbehave()
  for _ in string.gmatch(("x"):rep(20000), ".-.-.-b") do
    pcall(error)
  end
end

return {
  kind = "validator",
  name = "gmatch-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
