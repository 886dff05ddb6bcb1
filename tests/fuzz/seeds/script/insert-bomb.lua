-- SPDX-License-Identifier: Apache-2.0
-- Each insertion at the front moves everything.
local function misbehave()
  local t = {}
  while true do
    for i = 1, 1000 do
      table.insert(t, 1, i)
    end
    t = { table.unpack(t, 1, 10000) }
  end
end

return {
  kind = "validator",
  name = "insert-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
