// Package health tells whether objects have become what they should be, by
// kstatus: conditions, generations and what is known of Kubernetes' own kinds.
//
// The apply engine waits with it. It only reads, it lists each kind at once, and
// it gives up when its context ends and says what each object still lacks.
package health
