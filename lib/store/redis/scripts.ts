import { CHECKSUM_AT, CHECKSUM_END } from '../../entry/codec.js'

/*
 * The value of a version's key is the version. While strict writes are in progress it is a hold:
 *
 *     ~ <the version before, or nothing> ~ <writer>:<deadline>,<writer>:<deadline>…
 *
 * Deadlines are in milliseconds of the server's clock. The key expires with the last deadline: a
 * missing version invalidates as a new one does. Each script uses only one key, as a Cluster requires.
 */
/** The first character of a hold. */
export const HELD = '~'

/** Longest version. Longer values that are not holds were not written by this plugin. */
export const MAX_VERSION_BYTES = 64

const READ = `
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' then value = '' end
local before, list = string.match(value, '^~([^~]*)~(.*)$')
`

/** Hexadecimal digits of a version: too many to guess. */
const VERSION_DIGITS = 24

/**
 * A script never writes the string that it was given. After a broken connection a client may send a
 * command again that has been executed, which must not bring back a version that others have
 * replaced. The new version also depends on the present value and the time, so it is always another.
 */
const FRESH = `
local function fresh (text, mark)
  local time = redis.call('TIME')
  return string.sub(redis.sha1hex(value .. text .. time[1] .. '.' .. time[2]), 1, ${VERSION_DIGITS}) .. mark
end
`

/** Drops expired intents, whose writers have crashed: what they wrote is unknown. */
const READ_HOLDS = `${READ}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local holds = {}
local mine = false
if list then
  for writer, deadline in string.gmatch(list, '([^:,]+):(%d+)') do
    if writer == ARGV[1] then mine = true
    elseif tonumber(deadline) > now then holds[#holds + 1] = writer .. ':' .. deadline
    else before = '' end
  end
else
  before = #value <= ${MAX_VERSION_BYTES} and value or ''
end
`

/**
 * Arguments: text, mark, seconds. Creates the version if it does not exist. Returns the value of the
 * key in a list. A hold always expires; a value that looks like one but does not is damaged.
 */
export const ENSURE = `${READ}${FRESH}
if value ~= '' and (not list or redis.call('PTTL', KEYS[1]) > 0) then return {value} end
local version = fresh(ARGV[1], ARGV[2])
redis.call('SET', KEYS[1], version, 'EX', ARGV[3])
return {version}`

/**
 * Arguments: text, mark, seconds. Replaces the version and returns the new one. If it is held,
 * removes the version before from the hold and returns nothing.
 */
export const BUMP = `${READ}${FRESH}
if list and redis.call('PTTL', KEYS[1]) > 0 then
  redis.call('SET', KEYS[1], '~~' .. list, 'KEEPTTL')
  return false
end
local version = fresh(ARGV[1], ARGV[2])
redis.call('SET', KEYS[1], version, 'EX', ARGV[3])
return version`

/** Arguments: writer, milliseconds. Holds the version until the writer's intent ends, or for that time. */
export const BEGIN_INTENT = `${READ_HOLDS}
holds[#holds + 1] = ARGV[1] .. ':' .. string.format('%.0f', now + tonumber(ARGV[2]))
redis.call('SET', KEYS[1], '~' .. before .. '~' .. table.concat(holds, ','), 'PX', ARGV[2])
return 1`

/**
 * Arguments: writer, text, mark, seconds, '1' if the writer has written. Ends the writer's intent.
 * The last one to end sets a new version, or restores the version before if no writer has written.
 * If the script runs twice, the second run finds no intent of this writer, and restores nothing.
 */
export const END_INTENT = `${READ_HOLDS}${FRESH}
if ARGV[5] == '1' or (list and not mine) then before = '' end
if #holds > 0 then
  redis.call('SET', KEYS[1], '~' .. before .. '~' .. table.concat(holds, ','), 'KEEPTTL')
elseif list or ARGV[5] == '1' then
  redis.call('SET', KEYS[1], before ~= '' and before or fresh(ARGV[2], ARGV[3]), 'EX', ARGV[4])
end
return 1`

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
