-- SPDX-License-Identifier: Apache-2.0
-- Three lazy items over a long text.
local function misbehave()
  while true do
    pcall(string.match, ("x"):rep(20000), ".-.-.-b")
  end
end

return {
  kind = "validator",
  name = "match-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
