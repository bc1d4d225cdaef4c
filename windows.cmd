A:


for %%i in ("A:\*.cmd") do if not "%%i" == "A:\windows.cmd" cmd /c %%i

EXIT
        