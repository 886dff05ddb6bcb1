-- SPDX-License-Identifier: Apache-2.0
-- Catches whatever is raised and goes on.
local function misbehave()
  while true do
    pcall(function()
      while true do end
    end)
  end
end

return {
  kind = "validator",
  name = "pcall-loop",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
