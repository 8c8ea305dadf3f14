"""A script that makes an IP of the Verilog in Vivado, which reads the buses off the attributes.

exaq generate --ip -o ip/softmax.v
vivado -mode batch -source ip/softmax_package.tcl
"""

from __future__ import annotations

from exaq_hdl.emit.companions.companion import Unit
from exaq_hdl.emit.companions.ip.ip_xact import LIBRARY, VENDOR, version


def texts(unit: Unit) -> tuple[str]:
    """The script; it finds the Verilog beside itself."""
    return (
        f"""\
# Packages {unit.name}, whose text is {unit.stem}.v beside this file, as an IP in {unit.stem}_ip:
#     vivado -mode batch -source {unit.stem}_package.tcl
set here [file dirname [file normalize [info script]]]

create_project -force {unit.name}_package [file join $here {{{unit.stem}_package}}]
add_files -norecurse [file join $here {{{unit.stem}.v}}]
set_property top {unit.name} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -force -import_files -root_dir [file join $here {{{unit.stem}_ip}}] \\
    -vendor {VENDOR} -library {LIBRARY} -taxonomy /UserIP
set core [ipx::current_core]
set_property version {version(unit)} $core
set_property supported_families {{}} $core
set_property auto_family_support_level level_2 $core
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project -delete
""",
    )
