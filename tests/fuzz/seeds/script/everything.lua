local C = {} C.__index = C
function C.new(n) return setmetatable({n = n}, C) end
local function v(name, after)
  return {kind = "validator", name = name, after = after, state_version = 2,
    prepare = function(p) return ql.json.decode(p) end,
    needs = function(o) return {pcrs = {0, 7}, evidence = {{name = "sample", bound = "nonce", parameters = o},
      {name = "log", bound = "pcr", pcr = 10}}} end,
    validate = function(a, o, s)
      ql.fact("x", {a.agent_id, ql.hex(a.pcr[0]), a.options, a.facts.o, a.cursor_to.sample})
      ql.cursor("sample", 3) ql.retry("x") ql.log("y")
      for l in a.lines("sample") do for k, w in l:gmatch("(%w+)=(%w*)") do ql.fail{event = name .. ".x", context = {[k] = w}} end end
      local t = {} for k in pairs(o) do t[#t + 1] = k end table.sort(t) table.insert(t, 1, "q")
      local ok, why = pcall(string.rep, "x", 10) xpcall(error, tostring, "z")
      return {t = table.concat(t, ","), m = ql.match("^a", "abc"), h = ql.base64(ql.sha256(a.evidence.sample)),
        f = ("%5.1f %s %q"):format(1, {}, "x"), c = C.new(1).n, j = ql.json.encode({1, {}, ql.json.array{}, ql.json.null}),
        u = utf8.len("\u{20ac}"), g = ("hello"):gsub("l+", {ll = "L"}), b = ql.unhex("00"):byte(), n = (s and s.n or 0) + 1}
    end}
end
return {v("one"), v("two", {"one"}), {kind = "action", name = "act", sites = {"agent"}, run = function() end}}
