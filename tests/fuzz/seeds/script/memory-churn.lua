-- SPDX-License-Identifier: Apache-2.0
-- Never holds much, but moves it without end.
local function misbehave()
  local s = ("x"):rep(500000)
  while true do
    local t = s .. "y"
    s = t:sub(1, 500000)
  end
end

return {
  kind = "validator",
  name = "memory-churn",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
