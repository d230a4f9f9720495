// Package ledger holds the state of every job, and of every sync, between the services, in Redis.
//
// The tunnel writes what it took from GitLab and reads what must go back there;
// the runner offers tickets, claims jobs and writes traces and results. The
// ledger stores secrets and results only as bytes its callers have sealed, and
// gives no authority: a runner does nothing that policy has not signed.
//
// Every transition is one Lua script on keys of one job, which share the hash
// tag {<id>}, so Redis Cluster works. No clock of ours is compared with
// another's: leases are keys with an expiry. All keys begin with the prefix
// (default "towline") and all of them expire, so that an idle Redis ends empty.
//
//	key                      type    written by       read by   expires
//	{tickets}                zset    runner           tunnel    with its newest ticket
//	{tickets}:bell           list    runner           tunnel    with its newest ticket
//	{tickets}:held:<ticket>  string  tunnel           runner    HoldTTL
//	{tickets}:held:          string  tunnel           tunnel    HoldTTL
//	queue                    list    tunnel           runner    JobTTL after the last push
//	jobs                     zset    tunnel, runner   tunnel    JobTTL after the last change
//	{<id>}                   hash    tunnel, runner   both      JobTTL; ReportedTTL once reported
//	{<id>}:payload           string  tunnel           both      as the hash
//	{<id>}:trace             string  runner, tunnel   tunnel    as the hash
//	{<id>}:owner             string  tunnel           tunnel    owner lease
//	{<id>}:lease             string  runner           tunnel    job lease
//	{poll}                   string  tunnel           tunnel    poll lease
//	{poll}:cursor            string  tunnel           tunnel    CursorTTL
//	revoked:<jti>            string  runner           both      the grant's own expiry
//	audit                    stream  runner           people    AuditTTL after its last record
//	wake                     channel runner, tunnel   tunnel    -
//	syncs                    list    tunnel, runner   runner    SyncTTL after the last push
//	{sync:<entry>}           hash    tunnel, runner   both      SyncTTL after the last change
//	{sync:<entry>}:task      string  tunnel           runner    as the hash
//	{sync:<entry>}:lease     string  runner           both      sync lease
//	{sync:<entry>}:follow    string  tunnel           tunnel    follow lease
//	{sync:<entry>}:view      string  tunnel           both      ViewTTL after it was last put
//	{bundle:<digest>}        string  tunnel           runner    BundleTTL after it was last put
//	{bundle:<digest>}:<n>    string  tunnel           runner    as above
//	synced                   channel runner           tunnel    -
//	wished                   channel runner           tunnel    -
//
// Fields of a job's hash: schema, state, ticket, grant (sealed), runner,
// cancel, result (sealed), trace_size, acked. Fields that this version does not
// know are kept. Fields of a sync's hash: schema, state, wanted and running
// (serials of tasks), runner, cancel, result (sealed), of.
package ledger
