-- SPDX-License-Identifier: Apache-2.0
-- Each variable that is closed on the way out opens the next and loops.
local function misbehave()
  local function again()
    local next_one <close> = setmetatable({}, { __close = misbehave })
    while true do end
  end
  pcall(again)
  again()
end

return {
  kind = "validator",
  name = "close-loop",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
