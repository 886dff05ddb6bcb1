-- SPDX-License-Identifier: Apache-2.0
-- Secure Boot, and every value that a boot can change: firmware, keys and revocations, loaders, kernels, initrds, GRUB's
-- commands and command lines. Only what a digest covers is believed: paths and labels are not.
--
-- The reference state is that of `example`, with Secure Boot, and more lists (docs/boot-policy-scripts.md):
--   applications   digests; every program of PCR 4 is one of them. In place of `kernels`, which wants shim, GRUB, kernel
--   boot_files     digests of what is read on the way (PCR 5, 9, 12, 13) and of firmware parts (PCR 0), besides the kernels'
--                  initrd and vmlinuz
--   grub_commands  regular expressions of GRUB's commands
--   command_lines  regular expressions of command lines that systemd-boot, a stub or the kernel measures (PCR 9, 12)
--   sbat_levels    texts of shim's SBAT level, exact; absent: any

local example = mb.policy("example").parts

local function wrong(path, wanted)
  error("reference state: " .. path .. ": wanted " .. wanted, 0)
end

local function list_of(ref, name, check)
  local v = ref[name]
  if v == nil then return {} end
  if type(v) ~= "table" then wrong(name, "a list") end
  for key in pairs(v) do
    if type(key) ~= "number" then wrong(name, "a list") end
  end
  for i, one in ipairs(v) do check(one, name .. "[" .. i - 1 .. "]") end
  return v
end

local function text(v, path)
  if type(v) ~= "string" then wrong(path, "a text") end
end

local function patterns(list)
  local tests = {}
  for i, one in ipairs(list) do tests[i] = mb.re(one, "s") end
  return mb.any(tests)
end

local function digests_or_none(list)
  if #list == 0 then return mb.reject("the reference state approves none") end
  return mb.digests(list)
end

local function boot_string(test)
  return mb.field("Event", mb.field("String", test))
end

-- What stands on PCR 7 before the separator, and that nothing but authorities comes after it.
local function order_of_pcr7(events)
  local missing = { SecureBoot = true, PK = true, KEK = true, db = true, dbx = true }
  local separators = 0
  for _, e in ipairs(events) do
    if e.EventType == "EV_SEPARATOR" then
      separators = separators + 1
    elseif e.EventType == "EV_EFI_VARIABLE_DRIVER_CONFIG" then
      if separators > 0 then
        return "event " .. e.EventNum .. ": " .. e.Event.UnicodeName .. " is measured after the separator"
      end
      missing[e.Event.UnicodeName] = nil
    elseif separators == 0 then
      return "event " .. e.EventNum .. ": an authority before the separator"
    end
  end
  for _, name in ipairs({ "SecureBoot", "PK", "KEK", "db", "dbx" }) do
    if missing[name] then return "variable " .. name .. " is not measured" end
  end
  if separators ~= 1 then return separators .. " separators on PCR 7, wanted one" end
end

-- A kernel's command line was given by a command of GRUB that says the same.
local function commands_before_kernels(events)
  local loaded = {}
  for _, e in ipairs(events) do
    local line = e.Event.String
    local args = line:match("^grub_cmd: linux%w* (.*)$")
    if args then
      loaded[args] = true
    else
      args = line:match("^kernel_cmdline: (.*)$")
      if args and not loaded[args] then
        return "event " .. e.EventNum .. ": no command of GRUB loaded a kernel with \"" .. args .. "\""
      end
    end
  end
end

local function read(reference)
  if type(reference) ~= "table" then wrong("it", "an object") end
  if reference.has_secureboot == false then wrong("has_secureboot", "true: this policy is for Secure Boot") end
  if reference.kernels == nil and reference.applications == nil then wrong("kernels or applications", "one of both") end
  local merged = {}
  for key, value in pairs(reference) do merged[key] = value end
  if merged.kernels == nil then merged.kernels = ql.json.array({}) end
  local ref = example.read(merged)
  ref.has_kernels = reference.kernels ~= nil
  ref.applications = list_of(reference, "applications", example.digest)
  ref.boot_files = list_of(reference, "boot_files", example.digest)
  ref.grub_commands = list_of(reference, "grub_commands", text)
  ref.command_lines = list_of(reference, "command_lines", text)
  ref.has_sbat = reference.sbat_levels ~= nil
  ref.sbat_levels = list_of(reference, "sbat_levels", text)
  return ref
end

-- Files whose digests are approved wherever they are read from.
local function file_digests(ref)
  local all = {}
  for _, one in ipairs(ref.boot_files) do all[#all + 1] = one end
  for _, k in ipairs(ref.kernels) do
    all[#all + 1] = { sha256 = k.initrd_plain_sha256 }
    if k.vmlinuz_plain_sha256 ~= nil then all[#all + 1] = { sha256 = k.vmlinuz_plain_sha256 } end
  end
  return digests_or_none(all)
end

local function utf16_line(ref)
  local tests = {}
  for i, one in ipairs(ref.command_lines) do tests[i] = mb.re(one, "s") end
  local allowed = mb.any(tests)
  return function(e)
    local id, data = mb.tag(e)
    local line
    if id then
      if id ~= 0x8f3b22ed then return "event tag of another kind than load options" end
      line = mb.utf16(data)
    else
      line = e.Event.String:gsub("%z", "")
    end
    if not e.verified then return "the digest does not cover the command line" end
    return mb.run(allowed, line)
  end
end

local function prepare(reference)
  local ref = read(reference)
  local c = mb.collect({ "s_crtms", "platform_firmware_blobs", "bsas", "ipl9s", "vmlinuz", "kernel_cmdlines",
                         "pcr7", "pcr8" })
  local events = mb.dispatch({ "PCRIndex", "EventType" })
  local boot_variable = mb.var(example.GLOBAL, mb.re("BootOrder|Boot[0-9a-fA-F]{4}"), mb.accept())
  local files = file_digests(ref)
  local application = ref.has_kernels and mb.accept() or digests_or_none(ref.applications)
  local line = mb.fn(utf16_line(ref))

  for pcr = 0, 6 do events:set({ pcr, "EV_SEPARATOR" }, mb.separator()) end
  events:set({ 7, "EV_SEPARATOR" }, mb.all({ mb.separator(), c:into("pcr7") }))
  for _, pcr in ipairs({ 1, 4, 5 }) do events:set({ pcr, "EV_EFI_ACTION" }, mb.efi_action(pcr)) end
  -- Nothing covers these: the log's header, the locality (the replay has used it), and where reference manifests are.
  events:set({ 0, "EV_NO_ACTION" }, mb.any({
    mb.field("SpecID", mb.once(mb.accept())),
    mb.field("Event", mb.field("StartupLocality", mb.accept())),
    mb.field("Event", mb.re("53503830302d313535.*")),
  }))
  events:set({ 0, "EV_S_CRTM_VERSION" }, c:into("s_crtms"))
  events:set({ 0, "EV_EFI_PLATFORM_FIRMWARE_BLOB" }, c:into("platform_firmware_blobs"))
  events:set({ 0, "EV_EFI_PLATFORM_FIRMWARE_BLOB2" }, c:into("platform_firmware_blobs"))
  events:set({ 0, "EV_POST_CODE" }, files)
  events:set({ 0, "EV_S_CRTM_CONTENTS" }, files)
  events:set({ 1, "EV_CPU_MICROCODE" }, mb.times(8, mb.accept()))
  events:set({ 1, "EV_TABLE_OF_DEVICES" }, mb.times(8, mb.accept()))
  events:set({ 1, "EV_EFI_HANDOFF_TABLES" }, mb.times(8, mb.accept()))
  events:set({ 1, "EV_EFI_HANDOFF_TABLES2" }, mb.times(8, mb.accept()))
  events:set({ 1, "EV_PLATFORM_CONFIG_FLAGS" }, mb.times(8, mb.accept()))
  events:set({ 1, "EV_EFI_VARIABLE_BOOT" }, mb.verified(boot_variable))
  events:set({ 1, "EV_EFI_VARIABLE_BOOT2" }, mb.verified(boot_variable))
  events:set({ 2, "EV_EFI_BOOT_SERVICES_DRIVER" }, mb.accept())
  events:set({ 4, "EV_EFI_BOOT_SERVICES_APPLICATION" }, mb.all({ application, c:into("bsas") }))
  events:set({ 5, "EV_EVENT_TAG" }, files)
  events:set({ 5, "EV_EFI_GPT_EVENT" }, mb.once(mb.verified(mb.accept())))
  events:set({ 7, "EV_EFI_VARIABLE_DRIVER_CONFIG" },
    mb.all({ mb.verified(example.config_variables(ref)), c:into("pcr7") }))
  events:set({ 7, "EV_EFI_VARIABLE_AUTHORITY" }, mb.all({
    example.authority_variables(ref),
    ref.has_sbat and mb.any({
      mb.var(example.SHIM_LOCK, mb.re("Shim|MokListTrusted|MokListRT"), mb.accept()),
      mb.var(example.IMAGE_SECURITY, mb.re("db|vendor_db"), mb.accept()),
      mb.verified(mb.var(example.SHIM_LOCK, "SbatLevel", mb.field("String", mb.fn(function(level)
        for _, one in ipairs(ref.sbat_levels) do
          if one == level then return nil end
        end
        return "SBAT level \"" .. level .. "\" is none of those of the reference state"
      end)))),
    }) or mb.accept(),
    c:into("pcr7"),
  }))
  events:set({ 8, "EV_IPL" }, mb.verified(mb.all({
    mb.any({
      mb.all({ boot_string(mb.re("grub_cmd: .*", "s")), boot_string(patterns((function()
        local all = {}
        for i, one in ipairs(ref.grub_commands) do all[i] = "grub_cmd: (?:" .. one .. ")" end
        return all
      end)())) }),
      mb.all({ boot_string(mb.re("kernel_cmdline: .*", "s")), c:into("kernel_cmdlines") }),
    }),
    c:into("pcr8"),
  })))
  -- Whatever its path is said to be, a file counts by what it is; the kernel's own are there under their names, too.
  local by_path = example.boot_files(c)
  by_path[#by_path + 1] = mb.accept()
  events:set({ 9, "EV_IPL" }, mb.all({ files, mb.any(by_path) }))
  events:set({ 9, "EV_EVENT_TAG" }, mb.any({ files, line }))
  -- The sections of a unified kernel image: its digest on PCR 4 covers them. PCR 11 goes on after the boot.
  events:set({ 11, "EV_IPL" }, mb.accept())
  events:set({ 12, "EV_IPL" }, mb.any({ files, line }))
  events:set({ 13, "EV_IPL" }, files)
  events:set({ 14, "EV_IPL" }, mb.any({
    mb.all({ boot_string(mb.str("MokList")), digests_or_none(ref.mokdig) }),
    mb.all({ boot_string(mb.str("MokListX")), digests_or_none(ref.mokxdig) }),
    mb.all({ boot_string(mb.str("MokListTrusted")), mb.once(mb.accept()) }),
  }))

  local kernels = {}
  for i, k in ipairs(ref.kernels) do kernels[i] = example.kernel_test(ref, k) end
  return mb.field("events", mb.all({
    c:begin(),
    mb.each(events),
    c:finish(mb.all({
      ref.has_kernels and mb.any(kernels) or mb.field("kernel_cmdlines", mb.each(boot_string(patterns((function()
        local all = {}
        for i, one in ipairs(ref.command_lines) do all[i] = "kernel_cmdline: (?:" .. one .. ")" end
        return all
      end)())))),
      example.alternatives(ref.firmware, example.firmware_test),
      mb.field("pcr7", mb.fn(order_of_pcr7)),
      mb.field("pcr8", mb.fn(commands_before_kernels)),
    })),
  }))
end

return {
  kind = "mb-policy",
  name = "strict",
  summary = "Secure Boot with a reference value for everything that a boot can change",
  relevant_pcrs = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14 },
  prepare = prepare,
}
