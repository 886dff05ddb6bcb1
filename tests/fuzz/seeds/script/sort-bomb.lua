-- SPDX-License-Identifier: Apache-2.0
-- Sorts the same large table again and again.
local function misbehave()
  local t = {}
  for i = 1, 20000 do
    t[i] = i * 7919 % 20011
  end
  while true do
    table.sort(t)
  end
end

return {
  kind = "validator",
  name = "sort-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
