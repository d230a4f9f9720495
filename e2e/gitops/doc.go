// Package gitops holds the scenarios of gitops: a real API server, a real Redis,
// the three services as processes, and the simulator's Git. Each test pushes
// what a person would push and looks at the cluster and at GitLab.
//
// What has to hold, and which tests show it. "engine" is
// services/runner/internal/apply, "release" services/runner/internal/release,
// "syncer" services/runner/internal/syncer; all of these work on a real API
// server, too. "sources" is services/tunnel/internal/sources.
//
//	create, change, delete        TestTheClusterFollowsTheRepository; engine TestCreateChangeDelete
//	rename across files           TestTheClusterFollowsTheRepository: an object that moves to another file stays
//	each propagation policy       TestHardCases; engine TestPropagation; syncer TestEachKeyReachesTheEngine: the keys' words
//	drift by hand                 TestHardCases; engine TestDriftIsFoundAndCorrected: ten kinds of it
//	a field that cannot change    TestHardCases: with and without replace; engine TestImmutable
//	definition and object at once TestHardCases; engine TestScenarios/definition-and-object
//	one invalid of 500 objects    TestLargeRepositories; engine TestOneInvalidOfMany: each of the three policies
//	a webhook that fails          TestHardCases; engine TestFailingWebhook
//	a namespace that does not go  TestHardCases; engine TestNamespaceStuck
//	a rollout that fails          engine TestUnhealthyStaysUnhealthy: it is no success of a later run, and prunes nothing
//	what is to stay               engine TestWhatStaysKeepsItsPlace, TestNotReplaced, TestScenarios/keep
//	two entries, one inventory    engine TestTwoEntriesWithOneInventory
//	a large set that moves        engine TestLargeMove
//	force-push                    TestTheClusterFollowsTheRepository
//	ref deleted, token revoked    TestSourcesThatFailChangeNothing
//	servers that hardly answer    TestADeadServerHoldsUpNobody; release TestSlowServers; syncer TestSlowValues, TestASilentServerHoldsUpNobody;
//	                              the tunnel's gitlab TestSlowArchives, syncs TestSlowRepositoriesHoldUpNobody
//	50,000 files                  sources TestARepositoryOf50000Files
//	20 MiB of manifests           TestLargeRepositories; engine TestLargeSet
//	YAML bombs, symbolic links    TestSourcesThatFailChangeNothing; sources TestWhatCannotBeChosen
//	the same object twice         TestHardCases; engine TestScenarios/faults
//	two entries, one object       TestEntriesOfOneProject: it is said; engine TestTwoSetsDoNotFight: and nothing moves
//	variables of GitLab           TestVariablesOfGitLab: from the API to the cluster, and nowhere else
//	crashes                       syncer TestCrashAtEveryTenthCall, -crash=N replays one; TestARunnerThatDiesLosesNothing;
//	                              engine TestCrashAtEveryCall; release TestDeathAtEveryRequest
//	GitLab's agent's shapes       TestOldShapes, TestOldCharts
//	GitLab's agent's inventories  TestTheInventoryOfGitLabsAgentIsTakenOver; engine TestOldInventoryIsAdopted
//	what Flux has applied         TestWhatFluxHasAppliedIsTakenOver
//	releases beside helm          TestAChartIsInstalledAndKept; release TestNoRevisionWithoutAChange, TestHelmWorksOnOurReleases
package gitops
