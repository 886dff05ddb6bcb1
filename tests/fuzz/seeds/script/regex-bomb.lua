-- SPDX-License-Identifier: Apache-2.0
-- Nested repetition: at its limit an expression neither matches nor does not.
local function misbehave()
  while true do
    pcall(ql.match, "(a+)+$", ("a"):rep(40) .. "b")
  end
end

return {
  kind = "validator",
  name = "regex-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
