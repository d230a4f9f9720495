// Package date is the `date` of a job, with GNU's formats and the words for
// points in time that people write: yesterday, 2 days ago, next friday,
// 2024-01-01 + 3 days.
//
// The toolbox runs it in place of busybox's, which knows neither. It brings its
// own table of time zones, because a job cannot read the machine's, and never
// sets a clock.
package date
