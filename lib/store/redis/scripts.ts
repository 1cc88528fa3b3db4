import { SEAL_AT, SEAL_END } from '../../entry/codec.js'

/*
 * A version's key holds a text. While strict writes are in flight it holds, instead,
 *
 *     ~ <the version from before, or nothing> ~ <writer>:<deadline>,<writer>:<deadline>…
 *
 * with deadlines in milliseconds by the server's clock, and expires with the last of them: a
 * version that is gone is as good as a new one. Each of these scripts is about one key, as a Cluster
 * needs it.
 */
/** What a version's key begins with while it is held. */
export const HELD = '~'

/** Longer texts that are not holds are not ours, and no version to go back to. */
export const MAX_VERSION_BYTES = 64

const READ = `
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' then value = '' end
local before, list = string.match(value, '^~([^~]*)~(.*)$')
`

/** Hexadecimal digits of a version: as many as nobody can guess. */
const VERSION_DIGITS = 24

/**
 * What a script writes is never the text that it was given: a client whose connection broke may
 * send again what has been done already, and must not bring back a version that others replaced
 * meanwhile. Each execution has another value before it, or another time.
 */
const FRESH = `
local function fresh (text, mark)
  local time = redis.call('TIME')
  return string.sub(redis.sha1hex(value .. text .. time[1] .. '.' .. time[2]), 1, ${VERSION_DIGITS}) .. mark
end
`

/** Drops the writers that died without a word: what they wrote is not known. */
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
 * Text, mark, seconds: makes a version of them where there is none. Answers, in a list, what is there
 * then. A hold expires; what looks like one and does not is damaged.
 */
export const CLAIM = `${READ}${FRESH}
if value ~= '' and (not list or redis.call('PTTL', KEYS[1]) > 0) then return {value} end
local version = fresh(ARGV[1], ARGV[2])
redis.call('SET', KEYS[1], version, 'EX', ARGV[3])
return {version}`

/** Text, mark, seconds: replaces the version, and answers it; where it is held, what was before is no more, and the answer is nothing. */
export const MOVE = `${READ}${FRESH}
if list and redis.call('PTTL', KEYS[1]) > 0 then
  redis.call('SET', KEYS[1], '~~' .. list, 'KEEPTTL')
  return false
end
local version = fresh(ARGV[1], ARGV[2])
redis.call('SET', KEYS[1], version, 'EX', ARGV[3])
return version`

/** Writer, milliseconds: holds the version until the writer lets go, or that long. */
export const HOLD = `${READ_HOLDS}
holds[#holds + 1] = ARGV[1] .. ':' .. string.format('%.0f', now + tonumber(ARGV[2]))
redis.call('SET', KEYS[1], '~' .. before .. '~' .. table.concat(holds, ','), 'PX', ARGV[2])
return 1`

/**
 * Writer, text, mark, seconds, '1' when the writer has made the namespace old: lets go. The last
 * one opens it again, under the version from before where nobody made anything old. Done twice, the
 * second time finds no hold of this writer, and so nothing to bring back.
 */
export const LET_GO = `${READ_HOLDS}${FRESH}
if ARGV[5] == '1' or (list and not mine) then before = '' end
if #holds > 0 then
  redis.call('SET', KEYS[1], '~' .. before .. '~' .. table.concat(holds, ','), 'KEEPTTL')
elseif list or ARGV[5] == '1' then
  redis.call('SET', KEYS[1], before ~= '' and before or fresh(ARGV[2], ARGV[3]), 'EX', ARGV[4])
end
return 1`

/** Holder, milliseconds: takes a lease that nobody has, or prolongs the holder's own. */
export const LEASE = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`

/** Holder: gives a lease back that the holder still has. */
export const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

/** Eight bytes of an entry as they were seen: deletes it, unless it was filled anew since. Answers how many were deleted. */
export const DELETE_SEEN = `
if redis.call('GETRANGE', KEYS[1], ${SEAL_AT}, ${SEAL_END - 1}) ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])`

/** Keys; for each of them a value and the seconds until it expires. */
export const SET_ALL = `
for index, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[2 * index - 1], 'EX', ARGV[2 * index])
end
return #KEYS`
