-- SPDX-License-Identifier: Apache-2.0
-- The same with a handler that does not end either.
local function misbehave()
  local function forever()
    while true do end
  end
  while true do
    xpcall(forever, forever)
  end
end

return {
  kind = "validator",
  name = "xpcall-loop",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
