-- SPDX-License-Identifier: Apache-2.0
-- Never comes to a verdict.
local function misbehave()
  while true do end
end

return {
  kind = "validator",
  name = "endless",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
