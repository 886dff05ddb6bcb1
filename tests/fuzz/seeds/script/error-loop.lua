-- SPDX-License-Identifier: Apache-2.0
-- Error objects and metamethods that do not end.
local function misbehave()
  local t = setmetatable({}, {
    __tostring = function()
      while true do end
    end,
    __index = function()
      while true do end
    end,
  })
  pcall(tostring, t)
  pcall(error, t)
  error(tostring(t))
end

return {
  kind = "validator",
  name = "error-loop",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
