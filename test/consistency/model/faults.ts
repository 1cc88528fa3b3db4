/** What can be done wrong: each is a name, so that a test can show that the explorer finds it. */
export type Fault =
  | 'a lookup compares nothing'
  | 'versions are ensured after the handler ran'
  | 'an entry is stored under the versions of that moment'
  | 'a write is acknowledged before its bump'
  | 'a lost version comes back'
  | 'a bump that is sent again writes the same version'
  | 'join takes any fill'
  | 'a waiter does not compare the tags of the payload'
  | 'withPayloadTags does not compare groups'
  | 'withPayloadTags reads groups before tags'
  | 'a tag is bumped before its group'
  | HoldFault
  | WindowFault
  | FailoverFault
  | AgeFault
  | SoftFault

type HoldFault =
  | 'an intent ends before its handler has settled'
  | 'an intent is not renewed'
  | 'an intent of an unknown outcome restores the version'
  | 'an intent that expires restores the version'
  | 'a bump ends the hold of another'
  | 'a version that is held can be ensured'
  | 'writing invalidates before it runs, and holds nothing'

type WindowFault =
  | 'what is filled within a window outlives it'
  | 'a version that does not exist gets no window'
  | 'a bump without a window ends that of another'
  | 'a hold ends without its window'
  | 'a hold forgets the window that it found'
  | 'a hold ends before its window if its writer crashes'
  | 'an entry lacks the window of its group'

type FailoverFault =
  | 'a version of another run is trusted'
  | 'nothing is repeated on a new master'
  | 'a repeat forgets tags'
  | 'a tag is repeated before its group'
  | 'a repeat writes the version that it wrote before'
  | 'what has to be repeated is served meanwhile'
  | 'what the old master confirms after the new one was met is not sent again'

type AgeFault =
  | 'a refresh stores under the versions of that moment'
  | 'an entry that is old by time is served without comparing its versions'
  | 'the tags of the payload of an old entry are not compared'
  | 'a failure revives an entry'
  | 'an entry that a write made old is served if the handler fails'

type SoftFault =
  | 'a record of soft writes counts beside any version'
  | 'a soft write keeps what was recorded before a hard one'
  | 'a later soft write prolongs the window of an earlier one'
  | "the route's window begins with the last soft write"
  | 'a hard bump that is done again takes the record along'
  | 'a record is written before its version'
