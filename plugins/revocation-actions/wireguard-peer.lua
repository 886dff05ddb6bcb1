-- SPDX-License-Identifier: Apache-2.0
-- Takes the failed node's peer off a WireGuard interface.
--
-- Settings:  interface [wg0];  folder  of public keys, one file AGENT_ID.pub a node (below action_files);
--            wg  the program [/usr/bin/wg], to be named in action_exec
-- Without a file, `wireguard_key` of the node's metadata is used. Needs root: name it in privileged_actions. Removing a
-- peer that is gone changes nothing.
return {
  kind = "action",
  name = "wireguard-peer",
  summary = "removes the failed node's WireGuard peer",
  sites = { "agent", "privileged" },
  run = function(event)
    local s = event.settings
    local text = s.folder and ql.file.read(s.folder .. "/" .. event.agent_id .. ".pub") or event.meta.wireguard_key
    local key = type(text) == "string" and text:match("^%s*([%w+/]+=*)%s*$")
    if not key or #key ~= 44 then
      ql.log("no WireGuard key of " .. event.agent_id .. " is known")
      return
    end
    local run = ql.exec({ s.wg or "/usr/bin/wg", "set", s.interface or "wg0", "peer", key, "remove" })
    assert(run.status == 0, "wg: " .. run.output)
    ql.log("peer " .. key .. " of " .. event.agent_id .. " removed from " .. (s.interface or "wg0"))
  end,
}
