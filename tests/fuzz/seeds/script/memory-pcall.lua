-- SPDX-License-Identifier: Apache-2.0
-- Catches the lack of memory and goes on.
local function misbehave()
  while true do
    pcall(function()
      local t = { "xxxxxxxxxxxxxxxx" }
      while true do
        t[#t + 1] = t[#t] .. t[#t]
      end
    end)
  end
end

return {
  kind = "validator",
  name = "memory-pcall",
  prepare = function()
    return {}
  end,
  needs = function()
    return {}
  end,
  validate = misbehave,
}
