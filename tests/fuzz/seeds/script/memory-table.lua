-- SPDX-License-Identifier: Apache-2.0
-- A table without end.
local function misbehave()
  local t = {}
  for i = 1, math.huge do
    t[i] = { i }
  end
end

return {
  kind = "validator",
  name = "memory-table",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
