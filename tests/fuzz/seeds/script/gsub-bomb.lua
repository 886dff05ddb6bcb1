-- SPDX-License-Identifier: Apache-2.0
-- The same as a replacement.
local function misbehave()
  return (string.gsub(("x"):rep(20000), ".-.-.-b", "%0%0"))
end

return {
  kind = "validator",
  name = "gsub-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
