-- SPDX-License-Identifier: Apache-2.0
-- Takes the failed node's keys out of an authorized_keys file.
--
-- Settings:  file  the authorized_keys file; its folder must be in action_files
-- A line goes when the last word of its comment is the node's agent id, alone or after an @ (node@ID), or when its key is
-- the one in `ssh_key` of the node's metadata.
local function is_of(line, event)
  local words = {}
  for word in line:gmatch("%S+") do
    words[#words + 1] = word
  end
  local comment = words[#words]
  if not comment or line:match("^%s*#") then
    return false
  end
  if comment == event.agent_id or comment:sub(-#event.agent_id - 1) == "@" .. event.agent_id then
    return true
  end
  local wanted = type(event.meta.ssh_key) == "string" and event.meta.ssh_key:match("%S+%s+(%S+)")
  for _, word in ipairs(words) do
    if wanted and word == wanted then
      return true
    end
  end
  return false
end

return {
  kind = "action",
  name = "remove-ssh-key",
  summary = "removes the failed node's key from an authorized_keys file",
  sites = { "agent", "privileged" },
  run = function(event)
    local file = assert(event.settings.file, "setting remove-ssh-key.file is missing")
    local removed = 0
    ql.file.replace(file, function(text)
      local kept = {}
      for line in ql.lines(text or "") do
        if is_of(line, event) then
          removed = removed + 1
        else
          kept[#kept + 1] = line .. "\n"
        end
      end
      return removed > 0 and table.concat(kept) or nil
    end)
    ql.log(removed .. " keys of " .. event.agent_id .. " removed from " .. file)
  end,
}
