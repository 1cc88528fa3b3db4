import { MOVE } from './scripts.js'

/** How many more a version has that a soft write made, for those that are made at about the same time. */
const BEGINNING_DIGITS = 16

/**
 * Keys: the versions, then the record of each. Arguments: those of BUMP, and for how many milliseconds entries under
 * the replaced versions may be used. Replaces the versions as BUMP does, and records what they were:
 *
 *     <the current version> <replaced>,<beginning>,<when>,<until>…
 *
 * A record counts only beside its current version, so whatever else replaces that ends it. Versions that are made
 * within an eighth of that time have one beginning and share an item, or many writes would make long records. The
 * record expires with its first item. To last for half of that time at least, it drops what ends earlier.
 */
export const SOFTEN = `${MOVE}
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local soft = tonumber(ARGV[5])
local function item (replaced, beginning, at, ends)
  return string.format(' %s,%s,%.0f,%.0f', replaced, beginning, at, ends)
end
local function kept (record, version)
  local items, first, current = '', now + soft, nil
  local named, list = string.match(record, '^(%S+)(.*)$')
  if named ~= version then return items, first, current end
  for replaced, beginning, at, till in string.gmatch(list, ' ([^,]+),(%x+),(%d+),(%d+)') do
    local ends = math.min(tonumber(till), now + soft)
    if ends - now >= soft / 2 then
      items, first = items .. item(replaced, beginning, at, ends), math.min(first, ends)
      local isRecent = ends - now >= soft * 7 / 8
      if isRecent and string.sub(version, 1, #beginning) == beginning then current = beginning end
    end
  end
  return items, first, current
end
local count = #KEYS / 2
for index = 1, count do
  local key, record = KEYS[index], KEYS[count + index]
  local value, seen = read(key), redis.pcall('GET', record)
  local version = string.sub(value, -#ARGV[2]) == ARGV[2] and string.sub(value, 1, -#ARGV[2] - 1) or ''
  local items, first, beginning = kept(type(seen) == 'string' and seen or '', version)
  if not beginning then
    beginning = string.sub(fresh('beginning' .. value, ARGV[1], ''), 1, ${BEGINNING_DIGITS})
    items = items .. item(version, beginning, now, now + soft)
  end
  local moved = move(key, beginning)
  if version ~= '' then redis.call('SET', record, moved .. items, 'PX', first - now) end
end
return count`
