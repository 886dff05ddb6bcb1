-- SPDX-License-Identifier: Apache-2.0
-- Puts the failed node's address into a set of nftables whose packets are dropped. The set must exist:
--
--   nft add table inet quicklime
--   nft add set inet quicklime revoked { type ipv4_addr \; }
--   nft add set inet quicklime revoked6 { type ipv6_addr \; }
--   nft add chain inet quicklime input { type filter hook input priority -10 \; }
--   nft add rule inet quicklime input ip saddr @revoked drop
--   nft add rule inet quicklime input ip6 saddr @revoked6 drop
--
-- Settings:  nft  the program [/usr/sbin/nft], to be named in action_exec;  table [quicklime], set [revoked]
-- Needs root: name it in privileged_actions. Adding an address again changes nothing.
return {
  kind = "action",
  name = "nftables-drop",
  summary = "drops packets of the failed node's address",
  sites = { "agent", "privileged" },
  run = function(event)
    local s, ip = event.settings, event.msg.ip
    assert(type(ip) == "string" and ip:match("^[%x.:]+$"), "the node's address is no IP address")
    local set = s.set or "revoked"
    if ip:find(":", 1, true) then
      set = set .. "6"
    end
    local run = ql.exec({ s.nft or "/usr/sbin/nft", "add", "element", "inet", s.table or "quicklime", set,
      "{ " .. ip .. " }" })
    assert(run.status == 0, "nft: " .. run.output)
    ql.log(ip .. " of " .. event.agent_id .. " is dropped")
  end,
}
