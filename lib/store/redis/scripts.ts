import { CHECKSUM_AT, CHECKSUM_END } from '../../entry/codec.js'
import { settlingVersion } from '../contract.js'

/*
 * The value of a version's key is the version. While strict writes are in progress it is a hold:
 *
 *     ~ <the version before, `!` if it must not come back, or nothing> ~ <writer>:<deadline>,<writer>:<deadline>…
 *
 * Deadlines are in milliseconds of the server's clock. The key expires with the last deadline: a
 * missing version invalidates as a new one does. On a Cluster all keys of a script have one slot.
 *
 * The version of a window (`settle`) has a sign before its mark, and its key expires with the window.
 * `!` with a number of milliseconds stands for a window that begins when the hold ends. `?` behind the version before
 * says that no entry has been stored under it.
 */
/** The first character of a hold. */
export const HELD = '~'

/** Longest version. Longer values that are not holds were not written by this plugin. */
export const MAX_VERSION_BYTES = 64

/** A hold always expires; a value that looks like one but does not is damaged. */
const READ = `
local function read (key)
  local value = redis.pcall('GET', key)
  if type(value) ~= 'string' then value = '' end
  local before, list = string.match(value, '^~([^~]*)~(.*)$')
  local left = redis.call('PTTL', key)
  if left <= 0 then before, list = nil, nil end
  return value, list, before, left
end
`

/** Behind the version in a hold: it expires soon, as no entry was stored under it. */
const UNUSED = '?'

/** What closes a version for a window without scripts: a hold of nobody. */
export const CLOSED_WINDOW = '~!~'

const SIGN = settlingVersion('')

/** Hexadecimal digits of a version: too many to guess. */
const VERSION_DIGITS = 24

/**
 * A script never writes the string that it was given. After a broken connection a client may send a
 * command again that has been executed, which must not bring back a version that others have
 * replaced. The new version also depends on the present value and the time, so it is always another.
 */
const FRESH = `
local time = redis.call('TIME')
local function fresh (value, text, mark)
  return string.sub(redis.sha1hex(value .. text .. time[1] .. '.' .. time[2]), 1, ${VERSION_DIGITS}) .. mark
end
`

/** Milliseconds of the window that a version is in, or that follows a hold; 0 for none. */
const WINDOW = `
local function windowOf (value, left)
  return left > 0 and string.find(value, '${SIGN}.', 1, true) and left or 0
end
local function windowAfter (before)
  return tonumber(string.match(before, '^!(%d+)$')) or 0
end
local function replaced (window)
  return window > 0 and string.format('!%.0f', window) or '!'
end
`

/** Drops the writer's own intent, and expired ones, whose writers have crashed: what they wrote is unknown. */
const READ_HOLDS = `${READ}${FRESH}${WINDOW}
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function readHolds (key, own)
  local value, list, before, left = read(key)
  local holds, mine = {}, false
  if not list then
    local window = windowOf(value, left)
    before = (window > 0 or #value > ${MAX_VERSION_BYTES}) and replaced(window) or value
    return value, holds, before, left, mine, list
  end
  for writer, deadline in string.gmatch(list, '([^:,]+):(%d+)') do
    if writer == own then mine = true
    elseif tonumber(deadline) > now then holds[#holds + 1] = writer .. ':' .. deadline
    else before = replaced(windowAfter(before)) end
  end
  return value, holds, before, left, mine, list
end
`

/** Arguments: text, mark, seconds. Creates the versions that do not exist. Returns the values of all keys. */
export const ENSURE = `${READ}${FRESH}
local values = {}
for index, key in ipairs(KEYS) do
  local value, list = read(key)
  if value == '' or (string.sub(value, 1, 1) == '~' and not list) then
    value = fresh(value, ARGV[1], ARGV[2])
    redis.call('SET', key, value, 'EX', ARGV[3])
  end
  values[index] = value
end
return values`

/**
 * Replaces a version that exists; for a window, also one that does not. One that does not exist has no entries. One
 * that is held stays held, and what it was before does not come back. If its writer crashes, it is held for the window.
 */
export const MOVE = `${READ}${FRESH}${WINDOW}
local settle = tonumber(ARGV[4])
local function move (key, beginning)
  local value, list, before, left = read(key)
  local window = math.max(settle, windowOf(value, left))
  if list then
    local after = replaced(math.max(settle, windowAfter(before)))
    redis.call('SET', key, '~' .. after .. '~' .. list, 'PX', math.max(settle, left))
  elseif window > 0 then
    local version = beginning .. fresh(value, ARGV[1], '${SIGN}')
    redis.call('SET', key, version .. ARGV[2], 'PX', window)
    return version
  elseif value ~= '' then
    local version = beginning .. fresh(value, ARGV[1], '')
    redis.call('SET', key, version .. ARGV[2], 'PX', left > 0 and left or ARGV[3] * 1000)
    return version
  end
end
`

/** Arguments: text, mark, seconds, milliseconds of a window. Replaces the versions, in this order. */
export const BUMP = `${MOVE}
for _, key in ipairs(KEYS) do move(key, '') end
return #KEYS`

/**
 * Arguments: seconds, and the version of each key. Lets the versions live that long that are still the
 * same, without looking at their marks. Returns how many they are.
 */
export const KEEP = `
local kept = 0
for index, key in ipairs(KEYS) do
  local value, version = redis.pcall('GET', key), ARGV[index + 1] .. '.'
  if type(value) == 'string' and string.sub(value, 1, #version) == version then
    kept = kept + redis.call('EXPIRE', key, ARGV[1])
  end
end
return kept`

/** Arguments: text, mark, seconds. Sets a new version and returns it; nothing if the key is held. */
export const REPLACE = `${READ}${FRESH}${WINDOW}
local value, list, _, left = read(KEYS[1])
if list then return false end
local window = windowOf(value, left)
local version = fresh(value, ARGV[1], (window > 0 and '${SIGN}' or '') .. ARGV[2])
redis.call('SET', KEYS[1], version, 'PX', window > 0 and window or ARGV[3] * 1000)
return version`

/**
 * Argument: milliseconds of a window. Deletes a version, which invalidates as a new one does, or
 * closes it for its window; returns 0 if it is held.
 */
export const DROP = `${READ}${WINDOW}
local value, list, _, left = read(KEYS[1])
if list and list ~= '' then return 0 end
local window = math.max(tonumber(ARGV[1]), list and left or windowOf(value, left))
redis.call('DEL', KEYS[1])
if window > 0 then redis.call('SET', KEYS[1], '${CLOSED_WINDOW}', 'PX', window) end
return 1`

/**
 * Arguments: writer, milliseconds, seconds. Holds the versions until the writer's intent ends, or for that time. One
 * that had only so many seconds left is marked, so that it has no more when it comes back.
 */
export const BEGIN_INTENT = `${READ_HOLDS}
for _, key in ipairs(KEYS) do
  local value, holds, before, left, _, list = readHolds(key, ARGV[1])
  if not list and before == value and left > 0 and left <= ARGV[3] * 1000 then before = before .. '${UNUSED}' end
  holds[#holds + 1] = ARGV[1] .. ':' .. string.format('%.0f', now + tonumber(ARGV[2]))
  redis.call('SET', key, '~' .. before .. '~' .. table.concat(holds, ','), 'PX', math.max(ARGV[2], windowAfter(before)))
end
return #KEYS`

/**
 * Arguments: writer, text, mark, '1' if the writer has written, the seconds of a version that has entries, and of one
 * that has none. Ends the writer's intent.
 * The last one to end restores the version before, or sets a new one if a writer has written or has
 * expired. If the script runs twice, the second run finds no intent of this writer, and restores nothing.
 */
export const END_INTENT = `${READ_HOLDS}
for _, key in ipairs(KEYS) do
  local value, holds, before, left, mine, list = readHolds(key, ARGV[1])
  if before ~= '' and (ARGV[4] == '1' or (list and not mine)) then before = replaced(windowAfter(before)) end
  if #holds > 0 then
    redis.call('SET', key, '~' .. before .. '~' .. table.concat(holds, ','), 'PX', left)
  elseif before == '' then
    redis.call('DEL', key)
  elseif windowAfter(before) > 0 then
    if list or ARGV[4] == '1' then
      redis.call('SET', key, fresh(value, ARGV[2], '${SIGN}' .. ARGV[3]), 'PX', windowAfter(before))
    end
  elseif list or before == '!' then
    local version, mark = string.match(before, '^(.-)(%${UNUSED}?)$')
    local isNew = version == '!'
    if isNew then version = fresh(value, ARGV[2], ARGV[3]) end
    redis.call('SET', key, version, 'EX', (isNew or mark ~= '') and ARGV[6] or ARGV[5])
  end
end
return #KEYS`

/** Arguments: holder, milliseconds. Takes a free lease, or prolongs the holder's own. */
export const LEASE = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`

/** Argument: holder. Releases the lease if the holder still has it. */
export const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

/** Argument: the checksum and head length that were read. Deletes the entry unless it was replaced; returns 1 or 0. */
export const DELETE_SEEN = `
if redis.call('GETRANGE', KEYS[1], ${CHECKSUM_AT}, ${CHECKSUM_END - 1}) ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])`

/** Arguments: for each key its value and the milliseconds until it expires. */
export const SET_ALL = `
for index, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[2 * index - 1], 'PX', ARGV[2 * index])
end
return #KEYS`
