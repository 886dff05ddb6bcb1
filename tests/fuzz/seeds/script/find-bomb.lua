-- SPDX-License-Identifier: Apache-2.0
-- Thirty optional characters, none of them there: two to the thirtieth ways to fail.
local function misbehave()
  pcall(string.find, ("a"):rep(30), ("a?"):rep(30) .. ("a"):rep(31))
  return string.find(("x"):rep(20000), ".-.-.-b")
end

return {
  kind = "validator",
  name = "find-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
