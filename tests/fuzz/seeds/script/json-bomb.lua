-- SPDX-License-Identifier: Apache-2.0
-- A few tables that refer to each other so that their JSON is endless.
local function misbehave()
  local t = { 1 }
  for _ = 1, 60 do
    t = { t, t }
  end
  pcall(ql.json.encode, t)
  while true do
    pcall(ql.fact, "x", t)
  end
end

return {
  kind = "validator",
  name = "json-bomb",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
