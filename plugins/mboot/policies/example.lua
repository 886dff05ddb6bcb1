-- SPDX-License-Identifier: Apache-2.0
-- Keylime's example policy: shim, GRUB and one kernel, with or without Secure Boot. The reference state is that of
-- `quicklime-policy create measured-boot`; every event must have a place here.

local GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
local IMAGE_SECURITY = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
local SHIM_LOCK = "605dab50-e046-4300-abb6-3dd810dd8b23"
-- Tools before tpm2-tools 5.2 wrote the first three fields the other way round.
local GLOBAL_SWAPPED = "61dfe48b-ca93-d211-aa0d-00e098032b8c"
local IMAGE_SECURITY_SWAPPED = "cbb219d7-3a3d-9645-a3bc-dad00e67656f"
local SHIM_LOCK_SWAPPED = "50ab5d60-46e0-0043-abb6-3dd810dd8b23"
local X509 = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
local X509_SWAPPED = "a159c0a5-e494-a74a-87b5-ab155c2bf072"
local SHA256 = "c1c41626-504c-4092-aca9-41f936934328"
local SHA256_SWAPPED = "2616c4c1-4c50-9240-aca9-41f936934328"

-- Reading the reference state -------------------------------------------------

local function wrong(path, wanted)
  error("reference state: " .. path .. ": wanted " .. wanted, 0)
end

local function object(v, path)
  if type(v) ~= "table" or #v > 0 then wrong(path, "an object") end
  return v
end

local function list(v, path, item)
  if type(v) ~= "table" then wrong(path, "a list") end
  for key in pairs(v) do
    if type(key) ~= "number" then wrong(path, "a list") end
  end
  for i, one in ipairs(v) do item(one, path .. "[" .. i - 1 .. "]") end
  return v
end

local function hex(v, path)
  if type(v) ~= "string" or not v:match("^0x[0-9a-f]+$") then
    wrong(path, "0x and lower-case hex digits")
  end
  if #v % 2 == 1 then wrong(path, "an even number of hex digits") end
  return v
end

local function digest(v, path)
  for alg, value in pairs(object(v, path)) do hex(value, path .. "." .. alg) end
  return v
end

local function signature(v, path)
  object(v, path)
  if type(v.SignatureOwner) ~= "string" then wrong(path .. ".SignatureOwner", "a text") end
  hex(v.SignatureData, path .. ".SignatureData")
end

-- Signatures of the reference have 0x in front, those of a log have not.
local function signatures(ref, name, preset)
  local out = ql.json.array({})
  local v = ref[name]
  if v == nil then v = preset end
  if v == nil then wrong(name, "a list") end
  list(v, name, signature)
  for i, one in ipairs(v) do
    out[i] = { SignatureOwner = one.SignatureOwner, SignatureData = one.SignatureData:sub(3) }
  end
  return out
end

local function digests(ref, name)
  if ref[name] == nil then wrong(name, "a list") end
  return list(ref[name], name, digest)
end

local function text(v, path)
  if type(v) ~= "string" then wrong(path, "a text") end
  return v
end

local function read(ref)
  local has_secureboot = true
  if type(ref) ~= "table" then wrong("it", "an object") end
  if ref.has_secureboot ~= nil then has_secureboot = ref.has_secureboot end
  if type(has_secureboot) ~= "boolean" then wrong("has_secureboot", "true or false") end
  if ref.scrtm_and_bios == nil then wrong("scrtm_and_bios", "a list") end
  list(ref.scrtm_and_bios, "scrtm_and_bios", function(v, path)
    object(v, path)
    digest(v.scrtm, path .. ".scrtm")
    list(v.platform_firmware, path .. ".platform_firmware", digest)
  end)
  if ref.kernels == nil then wrong("kernels", "a list") end
  list(ref.kernels, "kernels", function(v, path)
    object(v, path)
    hex(v.shim_authcode_sha256, path .. ".shim_authcode_sha256")
    hex(v.grub_authcode_sha256, path .. ".grub_authcode_sha256")
    if has_secureboot then
      hex(v.kernel_authcode_sha256, path .. ".kernel_authcode_sha256")
    else
      hex(v.vmlinuz_plain_sha256, path .. ".vmlinuz_plain_sha256")
    end
    hex(v.initrd_plain_sha256, path .. ".initrd_plain_sha256")
    text(v.kernel_cmdline, path .. ".kernel_cmdline")
  end)
  return {
    has_secureboot = has_secureboot,
    firmware = ref.scrtm_and_bios,
    kernels = ref.kernels,
    pk = signatures(ref, "pk"),
    kek = signatures(ref, "kek"),
    db = signatures(ref, "db"),
    dbx = signatures(ref, "dbx"),
    vendor_db = signatures(ref, "vendor_db", ql.json.array({})),
    mokdig = digests(ref, "mokdig"),
    mokxdig = digests(ref, "mokxdig"),
  }
end

-- Tests -----------------------------------------------------------------------

local function sha256(v)
  return mb.digest({ sha256 = v })
end

-- Without Secure Boot, an empty list in the reference means: anything.
local function keys(ref, name, test)
  if not ref.has_secureboot and #ref[name] == 0 then return mb.once(mb.accept()) end
  return mb.once(test(ref[name]))
end

local function x509_keys(set)
  return mb.keys_subset({ X509, X509_SWAPPED }, set)
end

local function any_keys(set)
  return mb.keys_subset({ X509, X509_SWAPPED, SHA256, SHA256_SWAPPED }, set)
end

local function revoked(set)
  return mb.any({ mb.keys_superset(SHA256, set), mb.keys_superset(SHA256_SWAPPED, set) })
end

local function config_variables(ref)
  local secure_boot = mb.field("Enabled", mb.str(ref.has_secureboot and "Yes" or "No"))
  local pk, kek = keys(ref, "pk", x509_keys), keys(ref, "kek", x509_keys)
  local db, dbx = keys(ref, "db", any_keys), keys(ref, "dbx", revoked)
  local vendor_db = keys(ref, "vendor_db", any_keys)
  return mb.vars({
    { GLOBAL, "SecureBoot", secure_boot }, { GLOBAL_SWAPPED, "SecureBoot", secure_boot },
    { GLOBAL, "PK", pk }, { GLOBAL_SWAPPED, "PK", pk },
    { GLOBAL, "KEK", kek }, { GLOBAL_SWAPPED, "KEK", kek },
    { IMAGE_SECURITY, "db", db }, { IMAGE_SECURITY_SWAPPED, "db", db },
    { IMAGE_SECURITY, "dbx", dbx }, { IMAGE_SECURITY_SWAPPED, "dbx", dbx },
    { IMAGE_SECURITY, "vendor_db", vendor_db }, { IMAGE_SECURITY_SWAPPED, "vendor_db", vendor_db },
  })
end

local function authority_variables(ref)
  local db, sbat, shim = mb.once(mb.accept()), mb.once(mb.accept()), mb.once(mb.accept())
  local vendor_db = keys(ref, "vendor_db", function(set) return mb.each(mb.sig_in(set)) end)
  local trusted = mb.field("Enabled", mb.any({ mb.str("Yes"), mb.str("No") }))
  return mb.vars({
    { IMAGE_SECURITY, "db", db }, { IMAGE_SECURITY_SWAPPED, "db", db },
    { SHIM_LOCK, "SbatLevel", sbat }, { SHIM_LOCK_SWAPPED, "SbatLevel", sbat },
    { SHIM_LOCK, "Shim", shim }, { SHIM_LOCK_SWAPPED, "Shim", shim },
    { IMAGE_SECURITY, "vendor_db", vendor_db }, { IMAGE_SECURITY_SWAPPED, "vendor_db", vendor_db },
    { SHIM_LOCK, "MokListTrusted", mb.once(trusted) },
    { SHIM_LOCK, "MokListRT", mb.once(mb.accept()) },
  })
end

local function boot_string(test)
  return mb.field("Event", mb.field("String", test))
end

local function mok_digests(set)
  return mb.digests(set)
end

local function kernel_test(ref, k)
  local applications, vmlinuz
  if ref.has_secureboot then
    local shim, grub = sha256(k.shim_authcode_sha256), sha256(k.grub_authcode_sha256)
    local kernel = sha256(k.kernel_authcode_sha256)
    -- GRUB and shim may both measure the kernel.
    applications = mb.any({ mb.tuple({ shim, grub, kernel }), mb.tuple({ shim, grub, kernel, kernel }) })
    vmlinuz = mb.tuple({ mb.accept() })
  else
    applications = mb.tuple({ sha256(k.shim_authcode_sha256), sha256(k.grub_authcode_sha256) })
    vmlinuz = mb.tuple({ sha256(k.vmlinuz_plain_sha256) })
  end
  return mb.all({
    mb.field("bsas", applications),
    mb.field("ipl9s", mb.tuple({ sha256(k.initrd_plain_sha256) })),
    mb.field("vmlinuz", vmlinuz),
    mb.field("kernel_cmdlines", mb.tuple({ boot_string(mb.re("kernel_cmdline: " .. k.kernel_cmdline)) })),
  })
end

local function firmware_test(f)
  local blobs = {}
  for i, blob in ipairs(f.platform_firmware) do blobs[i] = mb.digest(blob) end
  return mb.all({
    mb.field("s_crtms", mb.tuple({ mb.digest(f.scrtm) })),
    mb.field("platform_firmware_blobs", mb.tuple(blobs)),
  })
end

local function alternatives(of, make)
  local tests = {}
  for i, one in ipairs(of) do tests[i] = make(one) end
  return mb.any(tests)
end

-- Alternatives for a file that is read, by its path.
local function boot_files(c)
  return {
    boot_string(mb.re(".*/loader/entries.*")),
    boot_string(mb.re(".*/grub.*")),
    mb.all({ boot_string(mb.re(".*/vmlinuz.*")), c:into("vmlinuz") }),
    mb.all({ boot_string(mb.re(".*/initrd.*")), c:into("ipl9s") }),
    mb.all({ boot_string(mb.re(".*/initramfs.*")), c:into("ipl9s") }),
  }
end

local function prepare(reference)
  local ref = read(reference)
  local c = mb.collect({ "s_crtms", "platform_firmware_blobs", "bsas", "ipl9s", "vmlinuz", "kernel_cmdlines" })
  local events = mb.dispatch({ "PCRIndex", "EventType" })
  local boot_variable = mb.var(GLOBAL, mb.re("BootOrder|Boot[0-9a-fA-F]+"), mb.accept())
  local boot_variable_swapped = mb.var(GLOBAL_SWAPPED, mb.re("BootOrder|Boot[0-9a-fA-F]+"), mb.accept())

  for pcr = 0, 7 do events:set({ pcr, "EV_SEPARATOR" }, mb.separator()) end
  for _, pcr in ipairs({ 1, 4, 5 }) do events:set({ pcr, "EV_EFI_ACTION" }, mb.efi_action(pcr)) end
  events:set({ 0, "EV_NO_ACTION" }, mb.once(mb.accept()))
  events:set({ 0, "EV_S_CRTM_VERSION" }, c:into("s_crtms"))
  events:set({ 0, "EV_EFI_PLATFORM_FIRMWARE_BLOB" }, c:into("platform_firmware_blobs"))
  events:set({ 0, "EV_EFI_PLATFORM_FIRMWARE_BLOB2" }, c:into("platform_firmware_blobs"))
  events:set({ 1, "EV_CPU_MICROCODE" }, mb.once(mb.accept()))
  events:set({ 1, "EV_EFI_HANDOFF_TABLES" }, mb.once(mb.accept()))
  events:set({ 1, "EV_EFI_HANDOFF_TABLES2" }, mb.once(mb.accept()))
  events:set({ 1, "EV_PLATFORM_CONFIG_FLAGS" }, mb.times(4, mb.accept()))
  events:set({ 1, "EV_EFI_VARIABLE_BOOT" }, mb.any({ boot_variable, boot_variable_swapped }))
  events:set({ 2, "EV_EFI_BOOT_SERVICES_DRIVER" }, mb.accept())
  events:set({ 4, "EV_EFI_BOOT_SERVICES_APPLICATION" }, c:into("bsas"))
  events:set({ 5, "EV_EFI_GPT_EVENT" }, mb.once(mb.accept()))
  events:set({ 7, "EV_EFI_VARIABLE_DRIVER_CONFIG" }, config_variables(ref))
  events:set({ 7, "EV_EFI_VARIABLE_AUTHORITY" }, authority_variables(ref))
  events:set({ 8, "EV_IPL" }, mb.any({
    boot_string(mb.re("grub_cmd: .*", "s")),
    mb.all({ boot_string(mb.re("kernel_cmdline: .*")), c:into("kernel_cmdlines") }),
  }))
  events:set({ 9, "EV_IPL" }, mb.any(boot_files(c)))
  events:set({ 14, "EV_IPL" }, mb.any({
    mb.all({ boot_string(mb.str("MokList")), mok_digests(ref.mokdig) }),
    mb.all({ boot_string(mb.str("MokListX")), mok_digests(ref.mokxdig) }),
    mb.all({ boot_string(mb.str("MokListTrusted")), mb.once(mb.accept()) }),
  }))

  return mb.field("events", mb.all({
    c:begin(),
    mb.each(events),
    c:finish(mb.all({
      alternatives(ref.kernels, function(k) return kernel_test(ref, k) end),
      alternatives(ref.firmware, firmware_test),
    })),
  }))
end

return {
  kind = "mb-policy",
  name = "example",
  summary = "shim, GRUB, kernel, with or without Secure Boot; Keylime's example",
  relevant_pcrs = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14 },
  prepare = prepare,
  parts = {
    GLOBAL = GLOBAL, IMAGE_SECURITY = IMAGE_SECURITY, SHIM_LOCK = SHIM_LOCK,
    read = read, digest = digest, alternatives = alternatives, firmware_test = firmware_test,
    config_variables = config_variables, authority_variables = authority_variables,
    kernel_test = kernel_test, boot_files = boot_files,
  },
}
