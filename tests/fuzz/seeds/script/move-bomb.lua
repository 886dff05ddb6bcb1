-- SPDX-License-Identifier: Apache-2.0
-- One call, more steps than there is time.
local function misbehave()
  pcall(table.move, {}, 1, math.maxinteger - 1, 1)
  pcall(table.unpack, {}, 1, math.maxinteger)
  while true do end
end

return {
  kind = "validator",
  name = "move-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
