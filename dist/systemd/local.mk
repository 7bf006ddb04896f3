# SPDX-License-Identifier: GPL-3.0-or-later
# Units and users, for systemd, and rules for udev; a package says where its
# system wants them.
systemdunitdir = $(prefix)/lib/systemd/system
sysusersdir = $(prefix)/lib/sysusers.d
XN_UNITS = dist/systemd/xenocorpd.service dist/systemd/xenodomd.service
XN_UNITS += dist/systemd/xenohostd.service dist/systemd/xenonoded.service
nodist_systemdunit_DATA = $(XN_UNITS)
CLEANFILES += $(XN_UNITS)
$(XN_UNITS): %: %.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed -e 's,[@]sbindir[@],$(sbindir),' \
	    -e 's,[@]sysconfdir[@],$(sysconfdir),' $(srcdir)/$@.in >$@
EXTRA_DIST += dist/systemd/xenocorpd.service.in
EXTRA_DIST += dist/systemd/xenodomd.service.in
EXTRA_DIST += dist/systemd/xenohostd.service.in
EXTRA_DIST += dist/systemd/xenonoded.service.in
EXTRA_DIST += dist/systemd/xenocorp.sysusers
EXTRA_DIST += dist/systemd/xenodomd-save.service
EXTRA_DIST += dist/systemd/xenodomd-xen.conf
EXTRA_DIST += dist/systemd/xenoserver.sysusers
# What udev keeps away from.
udevrulesdir = $(prefix)/lib/udev/rules.d
dist_udevrules_DATA = dist/udev/50-xenodomd.rules
install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)'
	for name in xenocorp xenoserver; do \
	    $(INSTALL_DATA) $(srcdir)/dist/systemd/$$name.sysusers \
	        '$(DESTDIR)$(sysusersdir)'/$$name.conf || exit; \
	done
uninstall-local:
	rm -f '$(DESTDIR)$(sysusersdir)'/xenocorp.conf \
	    '$(DESTDIR)$(sysusersdir)'/xenoserver.conf
