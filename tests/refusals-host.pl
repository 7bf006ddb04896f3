# SPDX-License-Identifier: GPL-3.0-or-later
# refusals-host.pl FILE...: what the host agent's core refuses, as its source has
# it: for each call of a function that refuses a line: place, code, because and
# try, as expressions of C.
use strict;
use warnings;

# Which arguments these are; `refuse` is a file's own.
my %order = (
    xn_out_refuse     => [2, 4, 5],
    task_refuse       => [2, 4, 5],
    session_refuse    => [1, 2, 3],
    host_order_failed => [1, 2, 3],
    task_wait_refuse  => [1, 2, 3],
);
my %own = ('match.c' => [3, 4, 5], 'stop.c' => [2, 3, 4]);

# The arguments of a call, from behind its parenthesis on.
sub arguments {
    my ($text, $at) = @_;
    my ($depth, $quoted, @list) = (1, 0, '');
    while ($depth) {
        my $c = substr $text, $at++, 1;
        last if $c eq '';
        if ($quoted) {
            $c .= substr $text, $at++, 1 if $c eq '\\';
            $quoted = 0 if $c eq '"';
        } elsif ($c eq '"') {
            $quoted = 1;
        } elsif ($c eq '(') {
            $depth++;
        } elsif ($c eq ')') {
            last if !--$depth;
        } elsif ($c eq ',' && $depth == 1) {
            push @list, '';
            next;
        }
        $list[-1] .= $c;
    }
    for (@list) { s/"\s+"//g; s/\s+/ /g; s/^ | $//g; }
    return @list;
}

for my $path (@ARGV) {
    open my $file, '<', $path or die "$path: $!\n";
    my $text = do { local $/; <$file> };
    (my $base = $path) =~ s,.*/,,;
    $text =~ s{/\*.*?\*/}{ (my $c = $&) =~ s/[^\n]//g; $c }gse;
    while ($text =~ /\b(xn_out_refuse|task_refuse|session_refuse|host_order_failed|task_wait_refuse|refuse)\s*\(/g) {
        my $which = $1 eq 'refuse' ? $own{$base} : $order{$1};
        my $line = 1 + (substr($text, 0, pos $text) =~ tr/\n//);
        my @list = arguments($text, pos $text);
        next if !$which || $list[0] =~ /^(const )?struct /;
        print join("\t", "$base:$line", @list[@$which]), "\n";
    }
}
